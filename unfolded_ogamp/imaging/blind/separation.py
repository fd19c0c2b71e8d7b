from dataclasses import dataclass
@dataclass(frozen=True)
class SeparationSettings:
    pass
def proposals(problem, count, generator, settings):
    return iter(())
