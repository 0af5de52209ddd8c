// Why there is no link to the fleet, in words.

/** An expected negative of the link: told, and tried again. Never carries a secret. */
export class LinkFailure extends Error {
  readonly hint: string | null;
  /** What has to end before the next attempt begins; null: nothing. */
  readonly leftover: Promise<void> | null;

  constructor(message: string, hint: string | null = null, leftover: Promise<void> | null = null) {
    super(message);
    this.name = "LinkFailure";
    this.hint = hint;
    this.leftover = leftover;
  }
}
