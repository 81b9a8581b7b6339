"""What stays in its process: whatever holds keys, or a machine's memory."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex

__all__ = ["NotPickled"]


class NotPickled:
    """Refuses to be pickled or copied, in a sentence that says what to send instead."""

    UNPICKLED: ClassVar[str]
    """Why not, and the way out, behind the name of the class."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Called by ``pickle`` and ``copy``.

        Raises
        ------
        TypeError
            Always, as for anything that cannot be pickled.
        """
        name = type(self).__name__
        raise TypeError(f"{'an' if name[0] in 'AEIOU' else 'a'} {name} cannot be pickled or copied: {self.UNPICKLED}")
