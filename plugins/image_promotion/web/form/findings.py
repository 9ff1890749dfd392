"""What is found while a policy is made of the form: which field stands where, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_promotion.errors import PolicyError
from image_promotion.policy.yaml_document import Location, dotted

__all__ = ["Draft", "Fault", "Location"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong.

    Args:
        field: The field it is about; empty for the whole form.
        key: The key of the policy it is about.
        said: What is wrong, as the rest of a sentence about the field.
        allowed: What may stand there; empty where that leaves no doubt.
    """

    field: str
    key: str
    said: str
    allowed: str = ""


@dataclass(slots=True)
class Draft:
    """Notes the field of each part of a policy, and faults that no file could have.

    Attributes:
        places: The field of each part of the policy, by its dotted path.
        faults: What is wrong.
    """

    places: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, at: Location, name: str) -> None:
        """Note which field a part of the policy is made of."""
        self.places[dotted(at)] = name

    def fault(self, name: str, at: Location, said: str, allowed: str = "") -> None:
        """Note what is wrong with a field."""
        self.faults.append(Fault(name, dotted(at), said, allowed))

    def fault_of(self, error: PolicyError) -> Fault:
        """Return what is wrong with a file as what is wrong with a field."""
        return Fault(self._field_of(error.key), error.key, error.attempted, error.allowed)

    def _field_of(self, key: str) -> str:
        """Return the field of a part of the policy, or of what that is within."""
        within = [
            each for each in self.places if key == each or key.startswith((f"{each}.", f"{each}["))
        ]
        return self.places[max(within, key=len)] if within else ""
