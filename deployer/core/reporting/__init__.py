"""What is said, to whom, and when.

commit_status    an ending -> states and descriptions on GitHub
contexts         what a commit's contexts are called
render           a deployment as the contract's JSON
ownership        whose files a commit changes: a note, never a refusal
roster           `roster.yaml`: who is who
pacing           when the next write may go to GitHub, and which status goes next
readiness        is the deployer as a whole doing its job
story            what became of a delivery or a commit
"""
