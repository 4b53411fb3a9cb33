"""How paths name a job."""

from typing import Annotated

from litestar.params import PathParameter

JobRef = Annotated[str, PathParameter(description="Id of the job.", max_length=200)]
