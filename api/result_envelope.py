"""The result of a job in one piece: the answer that the same rows get at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from litestar import Response
from msgspec import UNSET

from api.entity_tag import is_among
from api.predict_answer import PredictResponse
from api.result_form import JSON
from shared.jobs.envelope import Enveloped
from shared.storage.store import Storage

_LINES_AT_ONCE: Final = 2000  # then others have their turn

_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def envelope_answer(found: Enveloped, storage: Storage, *, if_none_match: str | None) -> Response[Any]:
    """The answer; 304 to those who have it."""
    headers = {"ETag": f'"{found.result.digest}-json"', "Vary": "Accept"}
    if is_among(headers["ETag"], if_none_match):
        return Response(None, status_code=304, headers=headers)
    content = [piece async for piece in storage.read(found.result.key, end=found.result.size_bytes)]
    predictions = await _predictions(b"".join(content).splitlines(), found.envelope.columns)
    return Response(_written(found, predictions), headers=headers, media_type=JSON)


async def _predictions(lines: Sequence[bytes], columns: int | None) -> list[msgspec.Raw]:
    """The prediction of each line, spelled as it is there."""
    found: list[msgspec.Raw] = []
    prediction = _last_value if columns is None else _last_values(columns)
    for start in range(0, len(lines), _LINES_AT_ONCE):
        found += map(prediction, lines[start : start + _LINES_AT_ONCE])
        await asyncio.sleep(0)
    return found


def _last_value(line: bytes) -> msgspec.Raw:
    return next(reversed(_decode(line).values()))


def _last_values(columns: int) -> Callable[[bytes], msgspec.Raw]:
    """Predictions stand behind all that is carried over."""

    def values(line: bytes) -> msgspec.Raw:
        last: Iterator[msgspec.Raw] = iter([*_decode(line).values()][-columns:])
        return msgspec.Raw(b"[" + b",".join(map(bytes, last)) + b"]")

    return values


def _written(found: Enveloped, predictions: list[msgspec.Raw]) -> bytes:
    single = found.envelope.single
    return msgspec.json.encode(
        PredictResponse(
            prediction=predictions[0] if single else UNSET,
            predictions=UNSET if single else predictions,
            model=found.model,
            version=found.version,
            prediction_id=str(found.job_id),
            warnings=found.envelope.warnings or UNSET,
        )
    )
