// The server check of shares that are remounted when their route changes: whether their routes lead to one server. `mountaineer-fs check` logs in over
// each of them, compares the servers with each other, and keeps a record by which it recognizes the server later.
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteObservation, ServerCheckObservation } from "../policy/share-observation.ts";
import type { CommandFailure, ServerComparison } from "../program/commands.ts";
import type { Contact, SignIn } from "../program/sign-in.ts";
import { ROUTE_NAMES, type RouteName, routesOf, type ShareSpec } from "../share-spec.ts";
import { endpointsOf } from "./observe-moving.ts";

/** Compares the servers behind the endpoints of the login with each other and with the share's record. */
export type CompareServers = (
  spec: ShareSpec,
  signIn: SignIn,
  signal: AbortSignal,
) => Promise<ServerComparison | CommandFailure>;

/** Pause before the servers are compared again, ms: each comparison logs in. A short one if one route has come or gone. */
const CHANGED_PAUSE_MS = 2_000;
const RETRY_PAUSE_MS = 300_000;
/** The first pause after another server answered; each further one is twice as long, up to `RETRY_PAUSE_MS`. */
const DIFFERENT_PAUSE_MS = 10_000;

type Result = Pick<ServerCheckObservation, "state" | "text" | "isEmpty">;

const UNCHECKED: Result = { state: "unchecked", text: null, isEmpty: false };

/** The checks of one share, at most one at a time. */
export class ServerCheck implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #compare: CompareServers;
  readonly #onEnd: () => void;
  /** The addresses whose servers were compared, by route; forgotten when the route no longer answers. */
  readonly #compared = new Map<RouteName, string>();
  #proved: readonly RouteName[] = [];
  #result = UNCHECKED;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #retryMs = DIFFERENT_PAUSE_MS;
  #running: AbortController | null = null;
  #newest: Promise<void> = Promise.resolve();
  #isOver = false;

  /** `onEnd` is called when a check has ended. */
  constructor(clock: Clock, compare: CompareServers, onEnd: () => void) {
    this.#clock = clock;
    this.#compare = compare;
    this.#onEnd = onEnd;
  }

  /** Takes the newest probes, begins a check if it is due and there is a `contact`, and returns what is known now. */
  observe(
    spec: ShareSpec,
    routes: Readonly<Record<RouteName, RouteObservation>>,
    contact: Contact | null,
  ): ServerCheckObservation {
    const endpoints = endpointsOf(spec, routes);
    const up = routesOf(spec).filter(
      (name) => routes[name].probe.verdict === "answers" && endpoints[name] !== undefined,
    );
    const address = (name: RouteName): string => `${endpoints[name]?.address} ${endpoints[name]?.port}`;
    for (const [name, compared] of this.#compared)
      if (!up.includes(name) || compared !== address(name)) this.#compared.delete(name);
    if (this.#compared.size === 0 && this.#running === null) this.#result = UNCHECKED;
    const sinceMs = this.#clock.monotonicMs() - this.#begunAtMs;
    const isNew = up.some((name) => !this.#compared.has(name));
    const isFinal = this.#result.state === "same" || this.#result.state === "unchecked";
    const retryMs = this.#result.state === "different" ? this.#retryMs : RETRY_PAUSE_MS;
    const isDue = isNew ? sinceMs >= CHANGED_PAUSE_MS : !isFinal && sinceMs >= retryMs;
    const signIn = contact?.signIn(Object.fromEntries(up.map((name) => [name, endpoints[name]]))) ?? null;
    if (signIn !== null && isDue && up.length > 0 && this.#running === null && !this.#isOver) {
      for (const name of up) this.#compared.set(name, address(name));
      this.#begin(spec, signIn);
    }
    const proved = this.#proved.filter((name) => this.#compared.has(name));
    return { ...this.#result, isChecking: this.#running !== null || (contact !== null && isNew), proved };
  }

  /** Compares again unless it was the same server: a person asks for a try. */
  retry(): void {
    if (this.#result.state !== "same") this.forget();
  }

  /** Compares all again: the configuration has changed. */
  forget(): void {
    this.#running?.abort();
    this.#running = null;
    this.#compared.clear();
    this.#result = UNCHECKED;
    this.#begunAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Ends the check in progress; resolves when its program has ended. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#running?.abort();
    return this.#newest;
  }

  #begin(spec: ShareSpec, signIn: SignIn): void {
    const { endpoints } = signIn;
    const running = new AbortController();
    this.#running = running;
    this.#begunAtMs = this.#clock.monotonicMs();
    const check = async (): Promise<void> => {
      const found = await this.#compare(spec, signIn, running.signal);
      if (running.signal.aborted) return;
      this.#running = null;
      const wasDifferent = this.#result.state === "different";
      this.#result = resultOf(found);
      this.#retryMs = wasDifferent ? Math.min(2 * this.#retryMs, RETRY_PAUSE_MS) : DIFFERENT_PAUSE_MS;
      const isSame = this.#result.state === "same";
      this.#proved = ROUTE_NAMES.filter(
        (name) => isSame && found.ok && endpoints[name] !== undefined && !found.failures[name],
      );
      this.#onEnd();
    };
    // An aborted check has no result.
    this.#newest = check().catch(() => {});
  }
}

function resultOf(found: ServerComparison | CommandFailure): Result {
  const { text } = found;
  if (!found.ok) return { state: "unproved", text, isEmpty: false };
  const { verdict } = found;
  if (verdict === "same" || verdict === "first") return { state: "same", text: null, isEmpty: false };
  if (verdict === "different") return { state: "different", text, isEmpty: false };
  const why =
    text ??
    Object.values(found.failures)
      .map((failure) => failure.text)
      .join(", ");
  return { state: "unproved", text: why, isEmpty: verdict === "empty" };
}
