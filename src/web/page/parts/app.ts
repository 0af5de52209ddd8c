// What every view of the page is given.
import type { ComponentChildren } from "preact";
import type { Tone } from "../../../api/words/words.ts";
import type { PageState } from "../daemon/live.ts";
import type { Requests } from "../daemon/requests.ts";
import type { Store } from "../daemon/store.ts";

export interface Question {
  readonly title: string;
  readonly body: ComponentChildren;
  /** The word on the button that does it: "Unmount". */
  readonly action: string;
  /** It takes something away, or may lose work. */
  readonly destroys?: boolean;
  /** Looked at with each change of what is known: why the question no longer holds; null: it does. */
  readonly outdated?: (state: PageState) => string | null;
}

export type Undo = () => Promise<unknown>;

export interface App {
  readonly store: Store<PageState>;
  readonly requests: Requests;
  /** Resolves with true once the person said yes to exactly this question. One at a time. */
  readonly ask: (question: Question) => Promise<boolean>;
  /** Shows what came of something, and says it to a screen reader; `undo` takes that back. */
  readonly tell: (tone: Tone, text: string, undo?: Undo) => void;
  /** Runs it, and tells why when it fails. True: it did not fail. */
  readonly attempt: (what: string, work: () => Promise<void>) => Promise<boolean>;
  /** Changes whenever the page should look at everything afresh. */
  readonly refresh: () => void;
}

export interface ViewProps {
  readonly app: App;
}
