"""How much time an encoder may take; what that means is said by each thing that has efforts."""

from typing import Literal

Effort = Literal["fast", "default", "high"]
