"""Jobs and the chunks they are cut into: the truth of every batch job. The broker only hints."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Computed, ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant
from shared.catalog.tables import ModelRow, VersionRow
from shared.clock import utc_now
from shared.database.base import Base, Identified

# Spelled as PostgreSQL spells it, for migrations to be compared.
_STORED_BYTES = """
COALESCE(input_size_bytes, (0)::bigint) + COALESCE(result_size_bytes, (0)::bigint)
 + COALESCE(((errors_files #>> '{csv,size_bytes}'::text[]))::bigint, (0)::bigint)
 + COALESCE(((errors_files #>> '{jsonl,size_bytes}'::text[]))::bigint, (0)::bigint)
 + COALESCE(((errors_files #>> '{parquet,size_bytes}'::text[]))::bigint, (0)::bigint)
"""


class JobRow(Identified, Base):
    """A file to predict, and how far that has come."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
        Index("ix_jobs_tenant_id_claimed_at", "tenant_id", "claimed_at"),
        Index("ix_jobs_unfinished", "status", postgresql_where=text("ended_at IS NULL")),
        Index("ix_jobs_open", "tenant_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_jobs_expiring", "expires_at", postgresql_where=text("ended_at IS NULL")),
        *(
            Index(
                f"ix_jobs_{name}",
                "tenant_id",
                name,
                unique=True,
                postgresql_where=text(f"{name} IS NOT NULL"),
            )
            for name in ("client_id", "idempotency_key")
        ),
        Index("ix_jobs_schedule_id", "schedule_id", "id", postgresql_where=text("schedule_id IS NOT NULL")),
        Index("ix_jobs_ended", "ended_at"),
        Index(
            "ix_jobs_stored",
            "tenant_id",
            postgresql_include=["stored_bytes"],
            postgresql_where=text("files_removed_at IS NULL AND deleted_at IS NULL"),
        ),
        Index(
            "ix_jobs_kept",
            "ended_at",
            postgresql_where=text("ended_at IS NOT NULL AND files_removed_at IS NULL"),
        ),
        Index(
            "ix_jobs_unswept", "ended_at", postgresql_where=text("ended_at IS NOT NULL AND swept_at IS NULL")
        ),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    model_id: Mapped[UUID | None] = mapped_column(ForeignKey(ModelRow.id, ondelete="SET NULL"), index=True)
    version_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(VersionRow.id, ondelete="SET NULL"), index=True
    )
    client_id: Mapped[UUID | None]  # the id that its owner chose for it
    idempotency_key: Mapped[str | None]
    submission_digest: Mapped[str | None]  # of what was asked for; None: sent with neither of the two
    schedule_id: Mapped[UUID | None]  # that it was submitted by; kept when that is deleted
    model_name: Mapped[str]  # kept when the model is deleted
    version_number: Mapped[int]

    input_file_name: Mapped[str]
    input_url: Mapped[str | None]  # where it lies; once it is fetched, without what may be secret
    input_key: Mapped[str | None]  # None until it is fetched, as are its size and digest
    input_format: Mapped[str | None]  # shared.jobs.job.FileFormat; until then what was said of it, if so
    input_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    input_encoding: Mapped[str | None]  # shared.jobs.text_encoding.TextEncoding; None: no text
    input_digest: Mapped[str | None]  # SHA-256, hexadecimal
    # Where there are several, each has a row in `job_files`; what is above tells of the first or of all.
    input_files: Mapped[int] = mapped_column(default=1, server_default="1")
    carried: Mapped[bytes | None] = mapped_column(deferred=True)  # of several: shared.jobs.order.Order
    text_key: Mapped[str | None]  # what the input was unpacked to; None: it is read as it is
    output_format: Mapped[str | None]  # likewise
    envelope: Mapped[dict[str, Any] | None]  # shared.jobs.envelope.Envelope; None: its rows came as a file
    output_columns: Mapped[list[Any] | None]  # input columns carried through; None: all
    further_outputs: Mapped[list[Any]] = mapped_column(
        default=list, server_default="[]"
    )  # of the model, beside its prediction
    on_error: Mapped[str] = mapped_column(server_default="fail")  # shared.jobs.job.OnError
    priority: Mapped[str] = mapped_column(server_default="normal")  # shared.jobs.job.Priority
    callback_url: Mapped[str | None]
    tells_progress: Mapped[bool] = mapped_column(server_default=false())  # not only the end
    progress_told_at: Mapped[datetime | None]  # the latest such event, and of how many rows it told
    progress_told_rows: Mapped[int | None] = mapped_column(BigInteger)
    labels: Mapped[dict[str, Any]] = mapped_column(
        "metadata", default=dict
    )  # the caller's own; `metadata` is taken

    expires_after_s: Mapped[float | None]  # None: the job may take as long as it takes
    expires_at: Mapped[datetime | None]  # counted anew when it is retried

    status: Mapped[str]  # shared.jobs.job.JobStatus
    rows_total: Mapped[int | None] = mapped_column(BigInteger)  # None until it is known
    error: Mapped[dict[str, Any] | None]  # {code, message, chunk?}
    result_key: Mapped[str | None]
    result_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    result_digest: Mapped[str | None]
    result_rows: Mapped[int | None] = mapped_column(BigInteger)  # of a job that ended early; else all done
    head: Mapped[dict[str, Any] | None]  # what a file of text begins with, {key, size_bytes, digest}
    errors_files: Mapped[dict[str, Any] | None]  # by format: {key, size_bytes, digest}

    # The lease of the worker that plans or finishes the job; chunks have their own.
    fence: Mapped[int] = mapped_column(default=0)  # rises at every claim: only the newest may write
    attempts: Mapped[int] = mapped_column(default=0)  # of the present step
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime] = mapped_column(
        default=utc_now
    )  # when a message last asked for the present step

    claimed_at: Mapped[datetime | None]  # when a chunk of it last had its turn
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finalizing_at: Mapped[datetime | None]
    succeeded_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]  # whichever of the four it was
    # What is kept of it in storage, as far as its owner asked for it; parts and texts go with its end.
    stored_bytes: Mapped[int | None] = mapped_column(
        BigInteger, Computed(_STORED_BYTES, persisted=True), deferred=True
    )
    swept_at: Mapped[datetime | None]  # when nothing was left in storage that is of no use any more

    retries: Mapped[int] = mapped_column(default=0, server_default="0")
    retried_at: Mapped[datetime | None]
    rows_kept: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # by the latest retry
    files_removed_at: Mapped[datetime | None]  # its input and all that came of it: since then it is a record
    deleted_at: Mapped[datetime | None]  # nobody sees it any more; it goes once storage holds nothing of it


class JobFileRow(Base):
    """One of several files that a job predicts. A job of one file has none of these."""

    __tablename__ = "job_files"

    job_id: Mapped[UUID] = mapped_column(ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)  # from 0, in the order they were sent
    name: Mapped[str]  # with its folders
    key: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str]  # SHA-256, hexadecimal
    encoding: Mapped[str | None]  # as of a job's one file, as is the next
    text_key: Mapped[str | None]
    is_empty: Mapped[bool] = mapped_column(default=False, server_default=false())  # not even a header


class JobLogRow(Base):
    """What the model printed during a job."""

    __tablename__ = "job_logs"

    job_id: Mapped[UUID] = mapped_column(ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    content: Mapped[bytes]  # the end of it
    printed_bytes: Mapped[int] = mapped_column(BigInteger)  # in all


class ChunkRow(Base):
    """A part of a job's input that one worker predicts at a time."""

    __tablename__ = "chunks"
    __table_args__ = (
        Index("ix_chunks_unfinished", "job_id", "index", postgresql_where=text("status <> 'done'")),
        Index("ix_chunks_running", "lease_until", postgresql_where=text("status = 'running'")),
    )

    job_id: Mapped[UUID] = mapped_column(ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[int] = mapped_column(default=0, server_default="0")  # which of the job's files
    source: Mapped[dict[str, Any]]  # which row groups or bytes of it: shared.jobs.job.ChunkSource
    status: Mapped[str]  # shared.jobs.job.ChunkStatus
    rows_total: Mapped[int | None] = mapped_column(BigInteger)
    rows_done: Mapped[int] = mapped_column(BigInteger, default=0)
    rows_failed: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # left out
    started_at: Mapped[datetime | None]  # the latest attempt
    counted_at: Mapped[datetime | None]  # when that last said how many rows it has done
    fence: Mapped[int] = mapped_column(default=0)  # rises at every claim: only the newest may publish
    attempts: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime] = mapped_column(default=utc_now)
    part_key: Mapped[str | None]  # set once, by the holder of the newest fence: that is the publication
    part_size_bytes: Mapped[int | None] = mapped_column(BigInteger)  # its errors lie beside it
    error: Mapped[dict[str, Any] | None]  # why the latest attempt failed
