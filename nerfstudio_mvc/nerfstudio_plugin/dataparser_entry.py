"""What nerfstudio's commands load at every start, to know that captures may be .mvc files; nothing heavy is loaded."""

from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from nerfstudio_mvc.nerfstudio_plugin.dataparser import MvcDataParserConfig

specification = DataParserSpecification(
    config=MvcDataParserConfig(), description="Photographs, cameras and points from an .mvc file."
)
