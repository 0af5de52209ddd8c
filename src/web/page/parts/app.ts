// What every view receives: the state, the requests, questions and notices.
import type { ComponentChildren } from "preact";
import type { Tone } from "../../../api/labels/label.ts";
import type { PageState } from "../daemon/live.ts";
import type { Requests } from "../daemon/requests.ts";
import type { Store } from "../daemon/store.ts";

export interface Question {
  readonly title: string;
  readonly body: ComponentChildren;
  readonly action: string;
  /** True: there is nothing to cancel. */
  readonly isNotice?: boolean;
  /** True: the action removes something, or may lose work. */
  readonly destroys?: boolean;
  /**
   * Called with each change of the state. Returns why the question no longer applies; null: it still applies.
   */
  readonly outdated?: (state: PageState) => string | null;
}

export type Undo = () => Promise<unknown>;

export interface App {
  readonly store: Store<PageState>;
  readonly requests: Requests;
  /** Resolves with true if the person confirms. A new question cancels the open one. */
  readonly confirm: (question: Question) => Promise<boolean>;
  /** Shows a notice, which screen readers announce; with `undo` it gets an Undo button. */
  readonly notify: (tone: Tone, text: string, undo?: Undo) => void;
  /** Runs `work` and resolves with true; if it rejects with a `MountaineerError`, shows why and resolves with false. */
  readonly attempt: (what: string, work: () => Promise<void>) => Promise<boolean>;
  readonly refresh: () => void;
}

export interface ViewProps {
  readonly app: App;
}
