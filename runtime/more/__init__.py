"""MORE: numbers encoded as matrices. An encoding without a security level, not encryption; see ``docs/more.md``."""
