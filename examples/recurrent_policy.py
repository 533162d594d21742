"""Recurrent PPO on the CPU: the loop over time of CleanRL's `get_states` becomes the argument `resets`.

The first step of an episode shows one of four cues; after a random delay a light comes on, and the action at
that step must name the cue: reward 1, else 0; chance is 0.25. N environments end their episodes at different
steps. `done[n, t]` means what it does in CleanRL: observation t is the first of a new episode.

    rollout   y_t, state = lstm.step(x_t, state, resets=done)          # one step, no gradient
    training  y, _, tape = lstm.forward(x, first_state, resets=done)   # [N, T] at once, the same bits
              lstm.backward(tape, dy)                                  # no gradient passes a reset
"""

from typing import Any

import numpy as np

import rnnfast
from rnnfast import nn, optim

Array = np.ndarray[Any, np.dtype[Any]]
CUES, MIN_DELAY, MAX_DELAY = 4, 3, 9
ENVIRONMENTS, STEPS, EPOCHS, MINIBATCHES = 32, 16, 4, 4
DISCOUNT, GAE_LAMBDA, CLIP, ENTROPY, VALUE, MAX_NORM = 0.9, 0.95, 0.2, 0.01, 0.5, 0.5


class Recall:
    """N environments that restart by themselves; an observation is the cue (one-hot) and the light."""

    def __init__(self, count: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.cue, self.left = np.zeros(count, int), np.zeros(count, int)
        self.begin(np.ones(count, bool))

    def begin(self, over: Array) -> None:
        self.cue[over] = self.random.integers(0, CUES, over.sum())
        self.left[over] = self.random.integers(MIN_DELAY, MAX_DELAY + 1, over.sum())
        self.first = over  # whose next observation shows the cue

    def observe(self) -> Array:
        shown = np.eye(CUES)[self.cue] * self.first[:, None]
        return np.concatenate([shown, (self.left == 0)[:, None]], axis=1).astype(np.float32)

    def act(self, action: Array) -> tuple[Array, Array]:
        over = self.left == 0
        reward = (over & (action == self.cue)).astype(np.float32)
        self.left -= 1
        self.begin(over)
        return reward, over


class Agent(nn.Module):
    """An LSTM, and a policy and a value head on its output."""

    def __init__(self, hidden: int = 32, seed: int = 0) -> None:
        self.lstm = nn.LSTM(CUES + 1, hidden, seed=seed)
        self.policy, self.value = nn.Linear(hidden, CUES, seed=seed + 1), nn.Linear(hidden, 1, seed=seed + 2)


def log_softmax(logits: Array) -> Array:
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def rollout(agent: Agent, world: Recall, done: Array, state: Any, random: np.random.Generator) -> Any:
    """STEPS steps on from `state`, then the advantages (GAE); arrays of the batch are [N, T, ...]."""
    names, rows = ("x", "done", "hidden", "logits", "value", "action", "reward"), []
    for _ in range(STEPS):
        x = world.observe()
        hidden, state = agent.lstm.step(x, state, resets=done)  # rows that are done start from zero
        logits, value = agent.policy(hidden), agent.value(hidden)[:, 0]
        action = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)  # a draw from the softmax
        reward, over = world.act(action)
        rows.append((x, done, hidden, logits, value, action, reward))
        done = over
    columns = zip(*rows, strict=True)
    batch = {name: np.stack(parts, axis=1) for name, parts in zip(names, columns, strict=True)}
    # The value after the last step; the state of this look ahead is dropped, the next rollout makes it again.
    value, running = agent.value(agent.lstm.step(world.observe(), state, resets=done)[0])[:, 0], 0.0
    batch["advantage"], over = np.zeros_like(batch["value"]), done
    for t in reversed(range(STEPS)):
        error = batch["reward"][:, t] + DISCOUNT * ~over * value - batch["value"][:, t]
        batch["advantage"][:, t] = running = error + DISCOUNT * GAE_LAMBDA * ~over * running
        value, over = batch["value"][:, t], batch["done"][:, t]
    return batch, done, state


def update(agent: Agent, optimizer: optim.Adam, rows: dict[str, Array], state: Any) -> None:
    """One PPO step on whole sequences of some environments: one forward and one backward call of the LSTM."""
    hidden, _, tape = agent.lstm.forward(rows["x"], state, resets=rows["done"])
    logits, policy_tape = agent.policy.forward(hidden)
    value, value_tape = agent.value.forward(hidden)
    log_p, chosen = log_softmax(logits), np.eye(CUES, dtype=np.float32)[rows["action"]]
    p, advantage = np.exp(log_p), rows["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ratio = np.exp(((log_p - log_softmax(rows["logits"])) * chosen).sum(axis=-1))
    # loss = mean(-min(ratio A, clip(ratio) A) - ENTROPY H + VALUE (v - return)² / 2), and its gradient:
    inside = np.where(advantage > 0, ratio < 1 + CLIP, ratio > 1 - CLIP)  # where ratio A is the smaller one
    dlogits = -(inside * advantage * ratio)[..., None] * (chosen - p)
    dlogits += ENTROPY * p * (log_p - (p * log_p).sum(axis=-1, keepdims=True))
    dvalue = VALUE * (value - (rows["advantage"] + rows["value"])[..., None])
    agent.zero_grad()
    dhidden = agent.policy.backward(policy_tape, dlogits / ratio.size)
    agent.lstm.backward(tape, dhidden + agent.value.backward(value_tape, dvalue / ratio.size))
    optim.clip_global_norm(agent.flatten(), MAX_NORM)
    optimizer.step(agent.flatten())


def sequence_against_steps(lstm: nn.LSTM, x: Array, state: Any, resets: Array, dy: Array) -> float:
    """Largest relative difference of any gradient: one call with `resets` against what it saves, T calls of
    one step, where state and gradient of the state are set to zero by hand."""
    lstm.zero_grad()
    dstate = lstm.backward(lstm.forward(x, state, resets=resets)[2], dy)[1]
    whole, tapes, keep = [*dstate, *(p.grad.copy() for p in lstm.parameters())], [], ~resets[None, :, :, None]
    lstm.zero_grad()
    for t in range(x.shape[1]):
        _, state, tape = lstm.forward(x[:, t : t + 1], tuple(part * keep[:, :, t] for part in state))
        tapes.append(tape)
    dstate = None
    for t in reversed(range(x.shape[1])):
        dstate = tuple(part * keep[:, :, t] for part in lstm.backward(tapes[t], dy[:, t : t + 1], dstate)[1])
    steps = [*dstate, *(p.grad for p in lstm.parameters())]
    return max(float(abs(a - b).max() / abs(a).max()) for a, b in zip(whole, steps, strict=True))


def train(updates: int, seed: int = 0, report: int = 0) -> list[float]:
    """Mean reward per finished episode, for every update; every `report` updates a line."""
    agent, world, optimizer = Agent(seed=seed), Recall(ENVIRONMENTS, seed), optim.Adam(5e-3)
    random, rewards = np.random.default_rng(seed + 1), []
    done, state = np.ones(ENVIRONMENTS, bool), agent.lstm.init_state(ENVIRONMENTS)
    for number in range(1, updates + 1):
        first = state
        batch, done, state = rollout(agent, world, done, state, random)
        # What PPO takes for granted: the sequence gives the old policy's numbers, here to the bit.
        hidden, final = agent.lstm(batch["x"], first, resets=batch["done"])
        assert all(map(np.array_equal, (hidden, *final), (batch["hidden"], *state)))
        for _ in range(EPOCHS):
            for chosen in np.split(random.permutation(ENVIRONMENTS), MINIBATCHES):
                rows = {name: part[chosen] for name, part in batch.items()}
                update(agent, optimizer, rows, tuple(part[:, chosen] for part in first))
        rewards.append(float(batch["reward"].sum() / (batch["x"][..., -1] == 1).sum()))
        if report and number % report == 0:
            print(f"update {number:4d}   reward per episode {np.mean(rewards[-report:]):.3f}")
    gap = sequence_against_steps(agent.lstm, batch["x"], first, batch["done"], batch["hidden"])
    assert gap < 1e-4, gap
    if report:
        print(f"rollouts are the sequences bit for bit; gradients differ from those by steps by {gap:.0e}")
    return rewards


if __name__ == "__main__":
    rnnfast.set_num_threads(1)
    train(updates=200, report=20)
