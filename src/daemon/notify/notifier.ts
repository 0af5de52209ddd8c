// The interface of a system's way to show desktop notifications.

/** Plain text; whoever shows it reads nothing else out of it. */
export interface Notification {
  readonly title: string;
  readonly body: string;
}

export interface Notifier {
  readonly program: string;
  /** Arguments that ask for nothing but whether the program is there; null: it is part of the system. */
  readonly probeArgs: readonly string[] | null;
  /** What to do when the program is missing. */
  readonly missingHint: string;
  /** How the program is given one. */
  input(notification: Notification): { readonly args: readonly string[]; readonly stdin: string };
}
