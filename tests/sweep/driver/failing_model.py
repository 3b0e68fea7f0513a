"""A user's module with a model that ends in the way its depth says."""

import ctypes
import os
import resource
import signal
import sys
import time

import psutil
import torch

from tl_core.machine import memory_watch
from tl_core.models import MODELS, ModelSpec
from tl_core.models.residual import ResidualCNN

DIVERGES, RAISES, DIES, NO_MEMORY, HANGS, EATS = 2, 3, 4, 5, 6, 7
SEGFAULTS, LEAVES, EXITS, SLEEPS, OVERFLOWS = 8, 9, 10, 11, 12


class Failing(ResidualCNN):
    def __init__(self, config, **shape):
        self.ending = config.depth
        super().__init__(config, **shape)

    def forward(self, images):
        logits = super().forward(images)
        if not self.training:
            return logits
        if self.ending == DIVERGES:
            return logits * torch.inf
        if self.ending == RAISES:
            raise RuntimeError("the model broke\non purpose")
        if self.ending == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.ending == NO_MEMORY:
            raise torch.OutOfMemoryError("no room")
        if self.ending == HANGS:
            time.sleep(0.5)
        if self.ending == EATS:
            self.eat()
        self.end_process()
        return logits

    def end_process(self):
        if self.ending == SEGFAULTS:
            ctypes.string_at(0)
        if self.ending == LEAVES:
            os._exit(3)
        if self.ending == EXITS:
            sys.exit(2)
        if self.ending == SLEEPS:
            time.sleep(600)  # no error from another thread reaches it
        if self.ending == OVERFLOWS:
            self.overflow()

    def overflow(self):
        """Take memory without end, in a process that may have 1 GiB more."""
        before = resource.getrlimit(resource.RLIMIT_AS)
        used = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
        try:
            taken = []
            while True:
                taken.append(torch.empty(2**26))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    def eat(self):
        """Take 64 MiB after 64 MiB on a machine that seems to have none left."""
        looked = memory_watch.available_bytes
        memory_watch.available_bytes = lambda: 0
        try:
            eaten = []
            while len(eaten) < 30:
                eaten.append(torch.ones(2**24))
                time.sleep(0.05)
        finally:
            memory_watch.available_bytes = looked


MODELS["failing"] = ModelSpec(build=Failing, description="ends as its depth says")
