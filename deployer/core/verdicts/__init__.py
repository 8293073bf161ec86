"""What became of a file: from what the dag-processor tells to a verdict.

watch            what was told of a release, folded into verdicts: one rule
trace            a traceback -> error type, message, the student's own line
"""
