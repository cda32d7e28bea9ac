"""Intake as the settings have it."""

from scheduler.intake.chunk import Reader
from scheduler.intake.consumer import Intake
from scheduler.intake.feedback import FeedbackIntake
from scheduler.intake.files import Roots
from scheduler.intake.jobs import JobIntake
from scheduler.settings import BadSettings, Settings


def reader_of(settings: Settings) -> Reader:
    """The reader of messages from elsewhere, which may name files under the roots alone."""
    policy = settings.policies.intake
    roots = Roots(directories=settings.document_roots, bytes_max=policy.file_bytes_max)
    return Reader(policy=policy, roots=roots)


def intake_of(settings: Settings) -> Intake:
    """What `scheduler.intake.consumer.run` needs to know.

    Raises:
        BadSettings: there is no Kafka to take in from.
    """
    if settings.kafka_bootstrap is None:
        raise BadSettings("APPORTION_KAFKA_BOOTSTRAP is not set; set it like localhost:9092")
    policy = settings.policies.intake
    return Intake(
        kafka=settings.kafka,
        group=settings.kafka_group,
        handlers={
            settings.jobs_topic: JobIntake(reader=reader_of(settings)),
            settings.feedback_topic: FeedbackIntake(default_scope=policy.default_scope),
        },
        full_topics=(settings.jobs_topic,),
        dead_topic=settings.dead_topic,
        policy=policy,
    )
