"""Models on this disk: paths, integrity, downloads. Nothing imports torch; only `pull` and `sync` use the network."""
