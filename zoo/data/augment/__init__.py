"""Augmentation as a config names it: functions from a batch of images to a batch of images, without state."""

from zoo.data.augment.named import check_augmentations, make_augmentation, make_mixing, random_crop_area

__all__ = ["check_augmentations", "make_augmentation", "make_mixing", "random_crop_area"]
