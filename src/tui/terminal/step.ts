// The result of a key on a screen's state.

/** `action` is for the caller to perform; `used` is false if the key has no meaning here and may have one elsewhere. */
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
