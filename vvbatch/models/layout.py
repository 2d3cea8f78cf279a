"""The two layouts of a VibeVoice snapshot, the original's and transformers': the same tensors under other names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Original name to transformers' name, applied in this order.
RENAMES: tuple[tuple[str, str], ...] = (
    (r"^model\.acoustic_tokenizer\.", "model.audio_tower."),
    (r"^model\.semantic_tokenizer\.encoder\.", "model.semantic_tokenizer_encoder."),
    (r"^model\.acoustic_connector\.", "model.multi_modal_projector."),
    (r"(multi_modal_projector|semantic_connector)\.fc(\d)\.", r"\1.linear_\2."),
    (r"(multi_modal_projector|semantic_connector)\.norm\.", r"\1.act."),
    (r"^model\.speech_(scaling|bias)_factor$", r"model.latent_\1_factor"),
    (r"^model\.prediction_head\.", "model.diffusion_head."),
    (r"diffusion_head\.t_embedder\.mlp\.0\.", "diffusion_head.timestep_proj.fc1."),
    (r"diffusion_head\.t_embedder\.mlp\.2\.", "diffusion_head.timestep_proj.fc2."),
    (r"(diffusion_head\.layers\.\d+)\.adaLN_modulation\.1\.", r"\1.linear."),
    (r"diffusion_head\.final_layer\.linear\.", "diffusion_head.final_layer.linear_2."),
    (r"diffusion_head\.final_layer\.adaLN_modulation\.1\.", "diffusion_head.final_layer.linear_1."),
    (r"\.(?:down|up)sample_layers\.0\.0\.conv\.conv\.", ".stem.conv.conv."),
    (r"\.downsample_layers\.(\d+)\.0\.conv\.conv\.", r".conv_layers.\1.conv.conv."),
    (r"\.upsample_layers\.(\d+)\.0\.convtr\.convtr\.", r".conv_layers.\1.convtr.convtr."),
    (r"\.stages\.0\.", ".stem.stage."),
    (r"\.stages\.(\d+)\.", r".conv_layers.\1.stage."),
    (r"\.mixer\.conv\.conv\.conv\.", ".mixer.conv."),
    (r"\.head\.conv\.conv\.", ".head.conv."),
)


def transformers_name(original: str) -> str:
    """The name in transformers' layout of a tensor of the original layout."""
    name = original
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    if name == original:
        return name
    # The original counts the stem as layer 0, transformers counts on after it.
    return re.sub(r"\.conv_layers\.(\d+)\.", lambda found: f".conv_layers.{int(found[1]) - 1}.", name)


def is_original(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` with this content belongs to the original layout."""
    return "decoder_config" in config
