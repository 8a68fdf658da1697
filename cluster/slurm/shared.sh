#!/bin/bash
# Parts of nodes that others use, too: sbatch shared.sh scene.py scene.mp4
#SBATCH --job-name=rayanim
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=04:00:00
set -euo pipefail

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
export RAY_AUTH_MODE=token

# Ports of this job's own: 100 from a place that its number gives.
base=$((20000 + SLURM_JOB_ID % 300 * 100))
ports=(
  --node-manager-port=$((base + 1)) --object-manager-port=$((base + 2))
  --runtime-env-agent-port=$((base + 3)) --dashboard-agent-listen-port=$((base + 4))
  --dashboard-agent-grpc-port=$((base + 5)) --metrics-export-port=$((base + 6))
  --min-worker-port=$((base + 20)) --max-worker-port=$((base + 99))
)

on_node() { # NODE COMMAND...
  srun --nodes=1 --ntasks=1 --overlap --nodelist="$1" "${@:2}"
}

on_node "$head" ray start --head --block --port="$base" --include-dashboard=false \
  --num-cpus="$SLURM_CPUS_PER_TASK" "${ports[@]}" &
# `ray start --block` ends with the job: nothing of others is stopped.
for _ in $(seq 60); do
  on_node "$head" ray status --address "$head:$base" >/dev/null 2>&1 && break
  sleep 2
done
for node in "${nodes[@]:1}"; do
  on_node "$node" ray start --block --address="$head:$base" \
    --num-cpus="$SLURM_CPUS_PER_TASK" "${ports[@]}" &
done

on_node "$head" rayanim run "$1" -o "$2" --address "$head:$base"
