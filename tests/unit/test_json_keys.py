"""The keys of what --json prints, and of manifest.json: scripts rely on them. Add keys, never rename one."""

from __future__ import annotations

import msgspec
import pytest

from vvbatch.batch import deadline, estimate, finish, verify_files
from vvbatch.book import document
from vvbatch.ledger import views
from vvbatch.manuscript import importing
from vvbatch.models import inventory
from vvbatch.models.integrity import Problem
from vvbatch.speech_text.candidates import Candidate

KEYS: dict[type[msgspec.Struct], str] = {
    inventory.ProfileModel: (
        "profile engine repo revision state path size_bytes problems notes remedy device dtype memory_bytes "
        "memory_total_bytes memory_fits"
    ),
    inventory.Verified: "profile state problems notes remedy",
    estimate.Estimate: (
        "script title lines cached to_render chapters characters voices not_golden models may_escalate "
        "chapter_titles warnings candidates"
    ),
    estimate.SpokenLine: "id chapter written spoken",
    estimate.WarningView: "file line column code message remedy",
    Candidate: "word count why",
    estimate.ModelEstimate: "model profile title lines audio_s speed wall_s ready_s queued_before",
    deadline.Deadline: "at ready ready_at choices",
    deadline.Choice: "profile takes wall_s ready_at fits",
    importing.ImportedView: "script title author language cover chapters speakers skipped warnings changes",
    importing.ChapterView: "title lines characters",
    importing.SkippedView: "what why place kind",
    importing.ImportWarningView: "message place",
    importing.Changes: "same new gone",
    finish.Manifest: "batch title script state created_at ended_at lines",
    finish.ManifestLine: (
        "id chapter chapter_title state path sha256 duration_s loudness_lufs pause_after_s model profile voices "
        "seed take text error role part_of part break_after pause_given_s"
    ),
    verify_files.Verified: "checked ok problems repaired",
    verify_files.FileProblem: "batch line take path problem",
    verify_files.RepairedLine: "batch line done",
    views.BatchView: "batch script state counts out eta_s lines kind unserved created_at ended_at",
    views.SubmittedView: "batch script state counts out eta_s lines kind unserved created changes book",
    views.LineView: (
        "id state profile path sha256 take score chosen tried qc error trouble troubles role part_of part "
        "script_line script_column"
    ),
    document.BookView: (
        "batch state duration_s preset loudness_lufs true_peak_dbtp gain_db files chapters lines missing encoded acx"
    ),
    document.FileView: "path format sha256 duration_s chapters gain_db loudness_lufs true_peak_dbtp",
    document.ChapterView: "number title start_s duration_s lufs",
    document.LineView: "id chapter start_s end_s",
    document.CheckView: "name subject value limit ok",
    document.MissingView: "id chapter state error",
    views.CheckView: "name value limit ok weight detail",
    views.Changes: "priority pauses",
    views.BatchRow: "batch script state counts out eta_s title kind model profile priority created_at ended_at",
    views.LineRow: (
        "batch line number chapter chapter_title model profile state attempt crashes text take path sha256 "
        "duration_s score chosen tried error worker created_at updated_at role part_of part break_after pause_after_s "
        "pause_given_s script script_line script_column"
    ),
    views.TakeRow: (
        "take batch line state attempt profile model revision device dtype voices seed params control_hash text "
        "path sha256 duration_s wall_s rtf first_chunk_s peak_dbfs loudness_lufs score chosen qc error worker "
        "created_at part_of part"
    ),
    views.MetricsRow: (
        "profile model device dtype day takes done failed_qc failed crashed audio_s wall_s speed rtf_median "
        "rtf_p95 first_chunk_s_median score_median fail_rate"
    ),
    views.StatusView: "batches queues workers failures troubles rates redis supervisor nights totals",
    views.Totals: "takes audio_s rendered_s wall_s speed failed began_at",
    views.QueueView: "model profile waiting rendering held paused paused_at served",
    views.WorkerView: "worker model profile host pid device dtype rendering started_at alive slots",
    views.Failure: (
        "batch line error at trouble number chapter chapter_title text profile script script_line script_column"
    ),
    views.TroubleView: "model profile trouble state lines",
    views.Rates: "window_s takes takes_per_min speed",
    views.ServerView: "reachable address error waiting lost",
}


@pytest.mark.parametrize("document", KEYS, ids=lambda document: f"{document.__module__}.{document.__name__}")
def test_a_document_has_the_keys_that_scripts_rely_on(document: type[msgspec.Struct]) -> None:
    assert set(KEYS[document].split()) - set(document.__struct_encode_fields__) == set()


def test_a_problem_of_a_model_has_the_keys_that_scripts_rely_on() -> None:
    assert set(msgspec.to_builtins(Problem("absent", "file", "words"))) == {"kind", "file", "message"}
