"""torchvision's own models with the weights of the formula, under the engine's names."""
import re

import torch
import torchvision

BODY = [(r"conv1\.", "stem.conv1."), (r"bn1\.", "stem.conv1.norm."),
        (r"layer(\d)\.(\d+)\.conv(\d)\.", lambda m: f"res{int(m[1]) + 1}.{m[2]}.conv{m[3]}."),
        (r"layer(\d)\.(\d+)\.bn(\d)\.", lambda m: f"res{int(m[1]) + 1}.{m[2]}.conv{m[3]}.norm."),
        (r"layer(\d)\.(\d+)\.downsample\.0\.", lambda m: f"res{int(m[1]) + 1}.{m[2]}.shortcut."),
        (r"layer(\d)\.(\d+)\.downsample\.1\.", lambda m: f"res{int(m[1]) + 1}.{m[2]}.shortcut.norm."),
        (r"layer(\d)\.(\d+)\.$", lambda m: f"res{int(m[1]) + 1}.{m[2]}.")]
HEAD = "proposal_generator.fcos_head."
DETECTOR = [(r"backbone\.fpn\.inner_blocks\.(\d)\.0\.", lambda m: f"backbone.fpn_lateral{int(m[1]) + 3}."),
            (r"backbone\.fpn\.layer_blocks\.(\d)\.0\.", lambda m: f"backbone.fpn_output{int(m[1]) + 3}."),
            (r"backbone\.fpn\.extra_blocks\.(p\d)\.", r"backbone.top_block.\1."),
            (r"head\.classification_head\.conv\.(\d+)\.", HEAD + r"cls_tower.\1."),
            (r"head\.regression_head\.conv\.(\d+)\.", HEAD + r"bbox_tower.\1."),
            (r"head\.classification_head\.cls_logits\.", HEAD + "cls_logits."),
            (r"head\.regression_head\.bbox_reg\.", HEAD + "bbox_pred."),
            (r"head\.regression_head\.bbox_ctrness\.", HEAD + "ctrness.")]


def translate(name, rules):
    for pattern, replacement in rules:
        if re.match(pattern, name):
            return re.sub("^" + pattern, replacement, name)
    return None


def engine_name(name):
    """Of a parameter, or of a module ("layer1.0.bn1."); None where the engine has nothing like it."""
    if name.startswith("backbone.body."):
        inner = translate(name[len("backbone.body."):], BODY)
    elif name.startswith(("backbone.", "head.")):
        return translate(name, DETECTOR)
    else:
        inner = translate(name, BODY)
    return inner and "backbone.bottom_up." + inner


def reported_modules(model):
    """{module: engine's name} of the modules whose outputs the engine reports."""
    names = {}
    for name, module in model.named_modules():
        ours = engine_name(name + ".")
        convolution = isinstance(module, torch.nn.Conv2d) and module.bias is not None
        norm = isinstance(module, (torch.nn.BatchNorm2d, torch.nn.GroupNorm)) and not name.endswith("bn3")
        block = isinstance(module, torchvision.models.resnet.Bottleneck)
        if ours and (convolution or norm or block):
            names[name] = ours[:-1]
    return names


def state(model):
    """(engine's name, tensor) of everything that has a counterpart."""
    for name, tensor in model.state_dict().items():
        ours = engine_name(name)
        if ours and not name.endswith("num_batches_tracked"):
            yield ours, tensor


def classifier(name):
    return getattr(torchvision.models, name)(weights=None).eval()


def fcos(height, width):
    """Takes pictures that are normalised already, in this size."""
    return torchvision.models.detection.fcos_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=91, min_size=height, max_size=width,
        image_mean=[0.0] * 3, image_std=[1.0] * 3).eval()
