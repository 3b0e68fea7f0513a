"""In place of Ray: actors in this process whose calls are carried out at once."""

from types import SimpleNamespace

import ray


class Dies(BaseException):
    """Raised in an actor: its process ends."""


class Reference:
    """What a call has returned or raised."""

    def __init__(self, answer=None, error=None):
        self.answer, self.error = answer, error


class Actor:
    """An object whose methods are called as Ray's are; `options` are those it was started with."""

    def __init__(self, made, options, arguments):
        self.options, self.arguments, self.error = options, arguments, None
        self.own = None
        self.start(made)

    def start(self, made):
        reference = self.called(lambda: made(*self.arguments))
        if reference.error is None:
            self.own = reference.answer
        else:
            self.error = reference.error

    def __getattr__(self, name):
        def call(*arguments, **named):
            return self.called(lambda: getattr(self.own, name)(*arguments, **named))

        return SimpleNamespace(remote=call)

    def called(self, call):
        if self.error is not None:
            return Reference(error=self.error)
        try:
            return Reference(call())
        except Dies as death:
            self.error = ray.exceptions.RayActorError(error_msg=str(death))
            return Reference(error=self.error)
        except Exception as error:
            return Reference(error=error)


class RayByHand:
    """The functions of Ray that the engine uses; `started` has all actors, `killed` some."""

    exceptions = ray.exceptions

    def __init__(self):
        self.started, self.killed = [], []

    def remote(self, made):
        def options(**given):
            def start(*arguments):
                self.started.append(Actor(made, given, arguments))
                return self.started[-1]

            return SimpleNamespace(remote=start)

        return SimpleNamespace(options=options)

    def get(self, reference):
        if reference.error is not None:
            raise reference.error
        return reference.answer

    def wait(self, references, num_returns=1, timeout=None):
        assert num_returns <= len(references)
        return references[:num_returns], references[num_returns:]

    def kill(self, actor):
        actor.error = ray.exceptions.RayActorError(error_msg="killed")
        self.killed.append(actor)

    @staticmethod
    def get_runtime_context():
        return SimpleNamespace(get_node_id=lambda: "node")
