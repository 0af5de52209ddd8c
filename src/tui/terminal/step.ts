// The result of a key on a screen's state.

/** The caller performs `action`. `used` false: the key has no meaning here. */
export interface Step<State, Action> {
  readonly state: State;
  readonly action: Action | null;
  readonly used: boolean;
}

export function unused<State>(state: State): Step<State, never> {
  return { state, action: null, used: false };
}

export function next<State, Action = never>(state: State, action: Action | null = null): Step<State, Action> {
  return { state, action, used: true };
}
