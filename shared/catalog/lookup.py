"""Finding models and versions of one tenant. `model` is an id or a name everywhere."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.grants import granted_models, is_granted
from shared.catalog.errors import ModelNotFound, VersionNotFound, VersionWithdrawn
from shared.catalog.naming import is_name
from shared.catalog.tables import ModelRow, VersionRow
from shared.errors import FieldError, InvalidInput
from shared.ids import parse_id


class ShownModel(msgspec.Struct, frozen=True):
    """A model, and the version that stands for it: the one that serves, or the newest where none does."""

    model: ModelRow
    version: VersionRow | None  # None where every version was deleted


def is_called(model: str) -> ColumnElement[bool]:
    """The condition that a row of `models` has this id or name. No name looks like an id."""
    model_id = parse_id(model)
    if model_id is not None:
        return ModelRow.id == model_id
    return ModelRow.name == model if is_name(model) else false()


def models_of(tenant_id: UUID) -> ColumnElement[bool]:
    """The condition that a row of `models` is the tenant's, and granted to whoever acts."""
    return and_(ModelRow.tenant_id == tenant_id, is_granted(ModelRow.id, granted_models()))


async def model_ids(session: AsyncSession, tenant_id: UUID, models: Sequence[str]) -> frozenset[UUID]:
    """Of the tenant's models that are called so.

    Raises:
        InvalidInput: there is none of one of these ids and names, which it says.
    """
    ids, names = [id_ for each in models if (id_ := parse_id(each))], [*filter(is_name, models)]
    called = or_(ModelRow.id.in_(ids), ModelRow.name.in_(names))
    found = (
        await session.execute(select(ModelRow.id, ModelRow.name).where(models_of(tenant_id), called))
    ).all()
    known = {each for row in found for each in row}
    for place, each in enumerate(models):
        if (parse_id(each) or each) not in known:
            text = f"there is no model {each!r}; give the id or the name of one of yours"
            raise InvalidInput(text, [FieldError(message=text, pointer=f"/models/{place}")])
    return frozenset(row.id for row in found)


async def find_model(session: AsyncSession, tenant_id: UUID, model: str, *, lock: bool = False) -> ModelRow:
    """The tenant's model.

    Args:
        lock: keep others from changing what serves until the transaction ends.

    Raises:
        ModelNotFound: there is none, or it is another tenant's.
    """
    query = select(ModelRow).where(models_of(tenant_id), is_called(model))
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise ModelNotFound(model)
    return row


async def find_version(session: AsyncSession, model: ModelRow, number: int) -> VersionRow:
    """A version of the model.

    Raises:
        VersionNotFound: there is none of that number.
    """
    query = select(VersionRow).where(VersionRow.model_id == model.id, VersionRow.number == number)
    row = await session.scalar(query)
    if row is None:
        raise VersionNotFound(model.name, number)
    return row


async def get_version(session: AsyncSession, version_id: UUID) -> VersionRow:
    """A version that was there a moment ago.

    Raises:
        VersionWithdrawn: it was deleted meanwhile, alone or with its model.
    """
    row = await session.get(VersionRow, version_id)
    if row is None:
        raise VersionWithdrawn("the version was deleted before it had its verdict")
    return row


async def show_model(session: AsyncSession, tenant_id: UUID, model: str) -> ShownModel:
    """The tenant's model with the version that stands for it.

    Raises:
        ModelNotFound: there is none, or it is another tenant's.
    """
    rows = await session.execute(_shown().where(models_of(tenant_id), is_called(model)))
    row = rows.one_or_none()
    if row is None:
        raise ModelNotFound(model)
    return ShownModel(row[0], row[1])


async def list_models(
    session: AsyncSession, tenant_id: UUID, *, before: UUID | None, limit: int
) -> list[ShownModel]:
    """Up to `limit` of the tenant's models, the newest first, made before the one with the id `before`."""
    query = _shown().where(models_of(tenant_id)).order_by(ModelRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(ModelRow.id < before)
    return [ShownModel(shown, version) for shown, version in await session.execute(query)]


async def list_versions(
    session: AsyncSession, model: ModelRow, *, before: int | None, limit: int
) -> list[VersionRow]:
    """Up to `limit` versions of the model, the newest first, with numbers below `before`."""
    query = select(VersionRow).where(VersionRow.model_id == model.id)
    if before is not None:
        query = query.where(VersionRow.number < before)
    return list(await session.scalars(query.order_by(VersionRow.number.desc()).limit(limit)))


async def all_versions(session: AsyncSession, model: ModelRow) -> list[VersionRow]:
    """Every version of the model."""
    return list(await session.scalars(select(VersionRow).where(VersionRow.model_id == model.id)))


def _shown() -> Select[ModelRow, VersionRow]:
    newest = (
        select(VersionRow.id)
        .where(VersionRow.model_id == ModelRow.id)
        .order_by(VersionRow.number.desc())
        .limit(1)
        .correlate(ModelRow)
        .scalar_subquery()
    )
    return select(ModelRow, VersionRow).outerjoin(
        VersionRow, VersionRow.id == func.coalesce(ModelRow.current_version_id, newest)
    )
