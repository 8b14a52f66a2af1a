"""The training of configs/mlp_digits.py as a script for PyTorch: minimal_torch.py EPOCHS TRAIN_EXAMPLES TEST_EXAMPLES.

The images are random; how long it takes does not depend on them.
"""

import sys

import torch
from torch import nn

epochs, train, test = map(int, sys.argv[1:])
images, labels = torch.rand(train + test, 64), torch.randint(10, (train + test,))
hidden = [nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.2)]
model = nn.Sequential(*hidden, nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (train // 32))
loss_of = nn.CrossEntropyLoss()
for epoch in range(1, epochs + 1):
    order = torch.randperm(train)
    for step in range(train // 32):
        chosen = order[step * 32 : step * 32 + 32]
        optimizer.zero_grad(set_to_none=True)
        loss_of(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    if epoch % 5 == 0 or epoch == epochs:
        model.eval()
        with torch.inference_mode():
            accuracy = (model(images[train:]).argmax(1) == labels[train:]).float().mean().item()
        model.train()
