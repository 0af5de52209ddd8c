// Finds out which version a server speaks: `server/discover` first, then `initialize` if it does not answer that as one
// of 2026-07-28 does. What else it says meanwhile passes.
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import {
  classifyMessage,
  isJsonObject,
  type JsonObject,
  type Reply,
  type RpcId,
  type RpcRequest,
} from "../../../json-rpc.ts";
import type { BackendLink, LinkFailure } from "../backend-link.ts";
import { isInstallerLine } from "../stdio/exit-reason.ts";
import { type Judged, judgeFailure, judgeReply, mayBeModern } from "./judge-discover.ts";
import { modernCapabilities, modernParams } from "./older-form.ts";
import { requestHeaders } from "./request-headers.ts";

/** `quiet`: a program that has said nothing may still be starting; `up`: after its last line. */
const SILENT_MS = { quiet: 5_000, up: 1_000, http: 2_000 };
/** How long a program is waited for that is known to answer, late. */
const PATIENT_MS = 30_000;
/** How long a program may leave both messages unanswered once it is up. */
const HANGS_MS = 3_000;
/** How long the answer to one of the two messages may take after that to the other. */
const OTHER_MS = 2_000;

export type Found =
  | { readonly kind: "modern"; readonly discovered: JsonObject }
  /** `initialize` is under way, or, with a reply, answered. `wasSilent`: it did not answer the probe. */
  | { readonly kind: "older"; readonly reply: Reply | null; readonly wasSilent: boolean }
  | { readonly kind: "failed"; readonly failure: LinkFailure }
  /** A program that the probe ended, or made hang: it is to be started again without. */
  | { readonly kind: "harmed" }
  /** A program that speaks both, late: it has settled on the older by the `initialize` that came meanwhile. */
  | { readonly kind: "settled"; readonly reply: Reply };

interface ProbeOptions {
  readonly link: BackendLink;
  readonly clock: Clock;
  /** A program of ours, and no HTTP server. */
  readonly isProcess: boolean;
  /** It is known to answer, late. */
  readonly isPatient: boolean;
  readonly initialize: RpcRequest;
  readonly probeId: RpcId;
  /** It got `initialize` first, and this was its answer. */
  readonly answered: Reply | null;
  readonly onFound: (found: Found) => void;
}

export class Probe implements Disposable {
  readonly #options: ProbeOptions;
  #timer: Timer | null = null;
  #over = false;
  readonly #askedAtMs: number;
  #hasOutput = false;
  #heard = false;
  #judged: Judged | null = null;
  #isSent = false;
  #reply: Reply | null = null;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#reply = options.answered;
    this.#isSent = options.answered !== null;
    this.#askedAtMs = options.clock.monotonicMs();
    this.#ask();
    this.#wait(this.#isSent ? OTHER_MS : firstMs(options), () => this.#onSilence());
  }

  /** It has said nothing at all. */
  get isSilent(): boolean {
    return !this.#heard;
  }

  /** If the program ends now, it may be for the probe: it has answered nothing. */
  get mayBeHarmed(): boolean {
    const { isProcess, answered } = this.#options;
    return isProcess && answered === null && this.#judged === null;
  }

  /** Whether the message was for it. */
  take(message: unknown): boolean {
    const classified = classifyMessage(message);
    this.#heard = true;
    if (this.#over || classified.kind !== "response") return false;
    const { id, reply } = classified;
    if (id === this.#options.probeId) this.#judge(judgeReply(reply));
    else if (id === this.#options.initialize.id && this.#isSent) this.#initialized(reply);
    else return false;
    return true;
  }

  onOutput(line: string): void {
    const { isProcess, isPatient, clock } = this.#options;
    if (!isProcess || isPatient || isInstallerLine(line)) return;
    const isFirst = !this.#hasOutput;
    this.#hasOutput = true;
    if (this.#over || this.#judged !== null || this.#reply !== null) return;
    if (this.#isSent) {
      if (isFirst) this.#wait(HANGS_MS, () => this.#find({ kind: "harmed" }));
      return;
    }
    const leftMs = Math.max(0, this.#askedAtMs + SILENT_MS.quiet - clock.monotonicMs());
    this.#wait(Math.min(leftMs, SILENT_MS.up), () => this.#onSilence());
  }

  requestFailed(id: RpcId, failure: LinkFailure): boolean {
    if (this.#over) return false;
    if (id === this.#options.probeId) this.#judge(judgeFailure(failure));
    else if (id === this.#options.initialize.id && this.#judged === null)
      this.#find({ kind: "failed", failure });
    else return false;
    return true;
  }

  /** The program has ended. */
  ended(): void {
    this.#find({ kind: "harmed" });
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
  }

  #ask(): void {
    const { link, initialize, probeId } = this.#options;
    const { clientInfo, capabilities, _meta } = initialize.params ?? {};
    const params = modernParams(_meta === undefined ? undefined : { _meta }, {
      clientInfo,
      capabilities: modernCapabilities(isJsonObject(capabilities) ? capabilities : {}),
      logLevel: null,
    });
    const method = "server/discover";
    const message: RpcRequest = { jsonrpc: "2.0", id: probeId, method, params };
    if (link.stateless === undefined) link.send(message);
    else link.stateless.send(message, requestHeaders(method, params, []));
  }

  #wait(afterMs: number, then: () => void): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#options.clock.setTimer(afterMs, then);
  }

  #onSilence(): void {
    if (this.#reply !== null) {
      this.#find({ kind: "older", reply: this.#reply, wasSilent: true });
      return;
    }
    this.#sendInitialize();
    if (this.#hasOutput) this.#wait(HANGS_MS, () => this.#find({ kind: "harmed" }));
  }

  #sendInitialize(): void {
    this.#isSent = true;
    this.#options.link.send(this.#options.initialize);
  }

  #judge(judged: Judged): void {
    this.#judged = judged;
    if (judged.kind === "failed") this.#find(judged);
    else if (judged.kind === "older") {
      if (!this.#isSent) this.#sendInitialize();
      this.#find({ kind: "older", reply: this.#reply, wasSilent: false });
    } else if (!this.#isSent || !this.#options.isProcess || this.#reply !== null) this.#find(judged);
    // A program that speaks both may have taken `initialize` for the last word.
    else this.#wait(OTHER_MS, () => this.#find(judged));
  }

  #initialized(reply: Reply): void {
    const judged = this.#judged;
    if ("result" in reply && judged?.kind === "modern") this.#find({ kind: "settled", reply });
    else if ("result" in reply || (judged === null && !mayBeModern(reply))) {
      this.#find({ kind: "older", reply, wasSilent: judged === null });
    } else if (judged?.kind === "modern") this.#find(judged);
    else {
      this.#reply = reply;
      this.#wait(OTHER_MS, () => this.#onSilence());
    }
  }

  #find(found: Found): void {
    if (this.#over) return;
    this[Symbol.dispose]();
    const { link, probeId, onFound } = this.#options;
    if (found.kind !== "modern" && this.#judged === null) link.stateless?.abandon(probeId);
    onFound(found);
  }
}

function firstMs({ isProcess, isPatient }: ProbeOptions): number {
  if (!isProcess) return SILENT_MS.http;
  return isPatient ? PATIENT_MS : SILENT_MS.quiet;
}
