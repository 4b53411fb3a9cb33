"""How much may come out of a file that is smaller than what it holds."""

import msgspec

from workers.host.rejection import Rejected

_MIB = 1024 * 1024


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact may unpack to.

    Attributes:
        unpacked_bytes: at most, whatever the file's own size.
        ratio: of unpacked to packed, past `free_bytes`: arrays of zeros compress a thousandfold, whole models
            five- to tenfold.
        free_bytes: for which no ratio counts.
        entries: files and folders in an archive; a PyTorch file has one for each tensor.
    """

    unpacked_bytes: int = 8192 * _MIB
    ratio: int = 200
    free_bytes: int = 256 * _MIB
    entries: int = 50_000

    def most_bytes(self, packed_bytes: int) -> int:
        """What a file of so many bytes may unpack to."""
        return min(self.unpacked_bytes, max(self.free_bytes, self.ratio * packed_bytes))


UNBOUNDED = Bounds(unpacked_bytes=1 << 62, ratio=1 << 30, entries=1 << 30)  # of what was judged before


def unpacks_too_large(most_bytes: int) -> Rejected:
    """It would fill the memory of whoever opened it."""
    return Rejected(
        "unpacks_too_large",
        f"Unpacked, the file is larger than the {most_bytes // _MIB:,} MiB that one of its size may become.",
        "Save a smaller model, or save it without compression.",
    )
