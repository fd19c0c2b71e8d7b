from dataclasses import dataclass
@dataclass(frozen=True)
class OvershootSettings:
    pass
def proposals(problem, count, generator, settings):
    return iter(())
