// Why there is no link to the fleet, in words.

/** An expected failure: shown, and retried. The message never holds a secret. */
export class FleetConnectionError extends Error {
  readonly hint: string | null;
  /** What the next attempt to connect has to wait for; null: nothing. */
  readonly leftover: Promise<void> | null;

  constructor(message: string, hint: string | null = null, leftover: Promise<void> | null = null) {
    super(message);
    this.name = "LinkFailure";
    this.hint = hint;
    this.leftover = leftover;
  }
}

/** The server knows no such user, or the credentials have expired. */
export class SignInRefused extends FleetConnectionError {}
