"""Trains and evaluates one experiment: python train.py --config=configs/simple_cnn_digits.py"""

from zoo.cli.commands import zoo_train

if __name__ == "__main__":
    zoo_train()
