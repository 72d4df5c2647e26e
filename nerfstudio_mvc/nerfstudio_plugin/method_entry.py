"""What nerfstudio's commands load at every start, to know the method mvc-splatfacto; nothing heavy of ours is loaded.

Its optimisers are those of nerfstudio's splatfacto-big, which cannot be imported here: that module imports this one.
"""

from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.data.datamanagers.full_images_datamanager import FullImageDatamanagerConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.schedulers import ExponentialDecaySchedulerConfig
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.plugins.types import MethodSpecification

from nerfstudio_mvc.nerfstudio_plugin.dataparser import MvcDataParserConfig
from nerfstudio_mvc.nerfstudio_plugin.splatfacto import MvcSplatfactoModelConfig, MvcSplatfactoPipelineConfig

METHOD_NAME = "mvc-splatfacto"
STEPS = 30_000


def _adam(rate: float, scheduler: ExponentialDecaySchedulerConfig | None = None) -> dict:
    return {"optimizer": AdamOptimizerConfig(lr=rate, eps=1e-15), "scheduler": scheduler}


def _warmed_up(rate: float, final: float) -> dict:
    decay = ExponentialDecaySchedulerConfig(lr_final=final, max_steps=STEPS, warmup_steps=1000, lr_pre_warmup=0)
    return _adam(rate, decay)


specification = MethodSpecification(
    config=TrainerConfig(
        method_name=METHOD_NAME,
        steps_per_eval_image=100,
        steps_per_eval_batch=0,
        steps_per_save=2000,
        steps_per_eval_all_images=1000,
        max_num_iterations=STEPS,
        mixed_precision=False,
        pipeline=MvcSplatfactoPipelineConfig(
            datamanager=FullImageDatamanagerConfig(dataparser=MvcDataParserConfig(), cache_images_type="uint8"),
            model=MvcSplatfactoModelConfig(cull_alpha_thresh=0.005, densify_grad_thresh=0.0005),
        ),
        optimizers={
            "means": _adam(1.6e-4, ExponentialDecaySchedulerConfig(lr_final=1.6e-6, max_steps=STEPS)),
            "features_dc": _adam(0.0025),
            "features_rest": _adam(0.0025 / 20),
            "opacities": _adam(0.05),
            "scales": _adam(0.005),
            "quats": _adam(0.001),
            "camera_opt": _warmed_up(1e-4, 5e-7),
            "bilateral_grid": _warmed_up(5e-3, 1e-4),
        },
        viewer=ViewerConfig(num_rays_per_chunk=1 << 15),
        vis="viewer",
    ),
    description="Splatfacto that leaves its Gaussians in the capture, for ns-mvc-compress to predict views by.",
)
