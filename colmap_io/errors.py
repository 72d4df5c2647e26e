"""What goes wrong with a sparse model; this package stands alone and has no other errors of its own."""


class ModelError(ValueError):
    """A sparse model is missing, damaged, contradicts itself, or uses what is not supported."""


class MappingError(ModelError):
    """Cameras could not be estimated from the photographs."""
