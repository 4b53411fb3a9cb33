"""What was counted of each version, by minute, and by hour where the minutes are old."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from shared.catalog.tables import VersionRow
from shared.database.base import Base


class CountsRow(Base):
    """Counts of one version in one minute or hour; all processes add to the same row.

    Arrays are read up to the longer of two: what is past their end is 0. Histograms are those of
    shared.analytics.histogram, outcomes are in the order of shared.analytics.outcome.OUTCOMES.
    """

    __tablename__ = "prediction_counts"
    __table_args__ = (Index("ix_prediction_counts_seconds_start", "seconds", "start"),)

    version_id: Mapped[UUID] = mapped_column(ForeignKey(VersionRow.id, ondelete="CASCADE"), primary_key=True)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    seconds: Mapped[int] = mapped_column(primary_key=True)  # how long from `start`: 60 or 3600
    rows: Mapped[int] = mapped_column(BigInteger)
    cache_hits: Mapped[int] = mapped_column(BigInteger)
    queue_us: Mapped[int] = mapped_column(BigInteger)
    compute_us: Mapped[int] = mapped_column(BigInteger)
    total_us: Mapped[int] = mapped_column(BigInteger)
    outcomes: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    queue: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    compute: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    total: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))


NUMBERS = ("rows", "cache_hits", "queue_us", "compute_us", "total_us")
ARRAYS = ("outcomes", "queue", "compute", "total")
