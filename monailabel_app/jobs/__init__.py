"""Jobs: what is asked (`work`), what is known (`job`, `store`), who does it (`queue`, `executor`)."""
