#!/bin/bash
# Whole nodes for one video: sbatch exclusive.sh scene.py scene.mp4
#SBATCH --job-name=rayanim
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --mem=0
#SBATCH --time=04:00:00
set -euo pipefail

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# The token lies in the home folder that all nodes share: ray get-auth-token --generate
export RAY_AUTH_MODE=token
# srun does not take this over from sbatch by itself, since Slurm 22.05.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# `ray symmetric-run` ends every Ray of this user on these nodes: not for shared ones.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
  ray symmetric-run --address "${nodes[0]}:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus="$SLURM_CPUS_PER_TASK" -- \
  rayanim run "$1" -o "$2" --address auto
