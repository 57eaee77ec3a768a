from amp_tuner.api.study_point import StudyPoint as StudyPoint
from amp_tuner.api.study_result import StudyResult as StudyResult
from amp_tuner.api.study_result import read_result as read_result
from amp_tuner.api.tune import tune as tune
from amp_tuner.config.load import load_study as load_study
from amp_tuner.config.model import StudyConfig as StudyConfig
from amp_tuner.errors import AmpTunerError as AmpTunerError
from amp_tuner.errors import InputError as InputError
from amp_tuner.errors import Problem as Problem
from amp_tuner.errors import RewriteError as RewriteError
from amp_tuner.errors import StorageLost as StorageLost
from amp_tuner.errors import TargetError as TargetError
from amp_tuner.errors import WorkerFailure as WorkerFailure

__version__: str
