// All that the serving set uses of scripts. Loaded when a configuration first offers them.
import type { AuthorizationConfig } from "../../config/snapshot.ts";
import type { CatalogEntry } from "../catalog/catalog.ts";
import type { ConsentRequest } from "../middleware/consent.ts";
import {
  type ConsentOutcome,
  type GatewayRequest,
  type Middleware,
  RUN_SCRIPT,
} from "../middleware/middleware.ts";
import type { Policies } from "../middleware/policies.ts";
import type { OwnTools } from "../optimizer/own-tools.ts";
import { createScriptConsent, inTurn } from "./script-consent.ts";
import { type RunnerOptions, ScriptRunner } from "./script-runner.ts";
import { SCRIPT_TOOL, withScripts } from "./script-tool.ts";

type RequestConsent = (request: GatewayRequest, call: ConsentRequest) => Promise<ConsentOutcome>;

export interface Scripts extends Disposable {
  /** `run_script` as an entry, for those who may see it. */
  readonly entry: CatalogEntry;
  addTo(own: OwnTools | null): OwnTools;
  /** Asks for calls of scripts in turn. */
  inTurn(requestConsent: RequestConsent): RequestConsent;
  consent(
    parts: {
      readonly policies: Policies | null;
      readonly requestConsent: RequestConsent;
      readonly denied: (request: GatewayRequest) => void;
    },
    unannotated: AuthorizationConfig["unannotated"],
  ): Middleware;
}

export function createScripts(options: RunnerOptions): Scripts {
  const runner = new ScriptRunner(options);
  return {
    entry: {
      kind: "tool",
      name: RUN_SCRIPT,
      fullName: RUN_SCRIPT,
      originalName: RUN_SCRIPT,
      // Of the gateway itself; no backend can have this name.
      backend: "",
      definition: SCRIPT_TOOL,
      status: "listed",
      reasons: [],
    },
    addTo: (own) => withScripts(own, (request, script, source) => runner.run(request, script, source)),
    inTurn: (requestConsent) => inTurn(requestConsent, options.clock),
    consent: (parts, unannotated) => createScriptConsent({ ...parts, unannotated }),
    [Symbol.dispose]: () => runner[Symbol.dispose](),
  };
}
