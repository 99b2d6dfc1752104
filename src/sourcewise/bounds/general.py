"""Any class of which a bracketing number is known (section 3 of the paper)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sourcewise.bounds.case import BoundClass, Case, Common
from sourcewise.bounds.options import POSITIVE, SPECIFIC, Option, Range
from sourcewise.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sourcewise.theory.bracketing import Bracketing

__all__ = ["General"]


@dataclass(frozen=True)
class General(BoundClass):
    """Numbers of parameters, and the constant of `log N(eps) = m log(c/eps)`."""

    shared: Annotated[
        int, Option("P", "how many numbers all sources can share", Range(0, whole=True))
    ]
    specific: Annotated[int, SPECIFIC]
    constant: Annotated[
        float, Option("c", "the c of log N = m log(c/eps); the default is 1", POSITIVE)
    ] = 1.0

    def case(self, common: Common) -> Case:
        """Bounds from the number as given."""
        import numpy as np

        from sourcewise.theory.bracketing import Bracketing

        shared, specific, c = float(self.shared), float(self.specific), self.constant
        if shared + specific == 0:
            raise InputError("--shared and --specific must not both be 0")

        def bracketing(m: "ArrayLike", J: "ArrayLike") -> "Bracketing":
            return Bracketing(m, c, np.asarray, np.asarray, "m log(c/eps)", whole=False)

        words = f"log N(eps) = m log({c:g}/eps), "
        words += f"{shared:g} shared parameters and {specific:g} per source"
        return Case(common, self, words, shared, specific, bracketing, bracketing)
