"""The slow reference: every pixel against every Gaussian in float64, with autograd. Imports nothing of ours."""

import torch


def dense_draw(parameters, cam_from_world, fx, fy, cx, cy, width, height, background):
    """Image [H, W, 3], transmittance, median depth, summed depth [H, W] from float64 tensors by name."""
    dtype = torch.float64
    pose = torch.as_tensor(cam_from_world, dtype=dtype)
    rotation, translation = pose[:3, :3], pose[:3, 3]
    x, y, z = (parameters["means"] @ rotation.T + translation).unbind(1)
    half_x, half_y = 0.5 * width / fx, 0.5 * height / fy
    slope_x = torch.clamp(x / z, -cx / fx - 0.3 * half_x, (width - cx) / fx + 0.3 * half_x)
    slope_y = torch.clamp(y / z, -cy / fy - 0.3 * half_y, (height - cy) / fy + 0.3 * half_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [torch.stack([fx / z, zero, -fx * slope_x / z], 1), torch.stack([zero, fy / z, -fy * slope_y / z], 1)], 1
    )
    q = parameters["quaternions"]
    qw, qx, qy, qz = (q / q.norm(dim=1, keepdim=True)).unbind(1)
    own_axes = torch.stack(
        [
            torch.stack([1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy - qw * qz), 2 * (qx * qz + qw * qy)], 1),
            torch.stack([2 * (qx * qy + qw * qz), 1 - 2 * (qx * qx + qz * qz), 2 * (qy * qz - qw * qx)], 1),
            torch.stack([2 * (qx * qz - qw * qy), 2 * (qy * qz + qw * qx), 1 - 2 * (qx * qx + qy * qy)], 1),
        ],
        1,
    )
    half = jacobian @ rotation @ (own_axes * torch.exp(parameters["log_scales"])[:, None, :])
    inverse = torch.linalg.inv(half @ half.transpose(1, 2) + 0.3 * torch.eye(2, dtype=dtype))
    centers = torch.stack([fx * x / z + cx, fy * y / z + cy], 1)
    opacity = torch.sigmoid(parameters["opacity_logits"])
    harmonics = parameters["harmonics"]
    color = 0.5 + 0.28209479177387814 * harmonics[:, 0]
    if harmonics.shape[1] == 4:
        d = parameters["means"] + rotation.T @ translation
        d = d / d.norm(dim=1, keepdim=True)
        band1 = -d[:, 1:2] * harmonics[:, 1] + d[:, 2:3] * harmonics[:, 2] - d[:, 0:1] * harmonics[:, 3]
        color = color + 0.4886025119029199 * band1
    color = color.clamp(min=0)
    order = torch.argsort(z)
    rows, columns = torch.meshgrid(torch.arange(height, dtype=dtype), torch.arange(width, dtype=dtype), indexing="ij")
    pixels = torch.stack([columns.flatten(), rows.flatten()], 1) + 0.5
    away = pixels[:, None] - centers[order][None]
    exponent = -0.5 * torch.einsum("pni,nij,pnj->pn", away, inverse[order], away)
    alpha = torch.clamp(opacity[order][None] * torch.exp(exponent), max=0.999)
    alpha = torch.where(alpha < 1 / 255, torch.zeros_like(alpha), alpha)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], 1), 1)
    weights = through[:, :-1] * alpha
    image = weights @ color[order] + through[:, -1:] * torch.tensor(background, dtype=dtype)
    crossing = (through[:, :-1] > 0.5) & (through[:, 1:] <= 0.5)
    median = torch.where(crossing, z[order][None], torch.zeros_like(alpha)).sum(1)
    summed = (weights * z[order]).sum(1)
    return tuple(t.reshape(height, width, -1).squeeze(-1) for t in (image, through[:, -1], median, summed))
