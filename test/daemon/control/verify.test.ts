// The words of `verify` and `doctor`. Each line of a case is a share, `NAME` and what is seen of it, or a server, `server NAME` and
// what stands of it: tb=REASON and fallback=REASON (a probe's), fallback=- (no such host), mounted, dead, held, error="…",
// need=SHARE, need2=SHARE, failed="…", away="…", and conditions as code/severity="title".
import assert from "node:assert/strict";
import type { Condition } from "../../../src/api/contract/contract.ts";
import { renderDoctor } from "../../../src/cli/sessions/doctor-command.ts";
import { verifyReport, verifyShare } from "../../../src/daemon/control/verify.ts";
import type { ProbeReason } from "../../../src/network/probe/probe-result.ts";
import { EMPTY_SHARE_MEMORY } from "../../../src/reconcile/state-store.ts";
import { isoTime } from "../../../src/runtime/time/clock.ts";
import type { ShareView } from "../../../src/shares/engine/share-cycle.ts";
import { SHARE_CONDITIONS, type ShareConditionName } from "../../../src/shares/policy/condition-rows.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { goldenTests } from "../../support/golden.ts";
import { answered, foundMount, probe, seenOf, specOf, viewOf, WALL_MS } from "../shares.ts";

const GONE: readonly string[] = ["link_down", "no_route", "refused"];
const REASONS: readonly ProbeReason[] = [
  ...([
    "negotiated",
    "link_down",
    "no_route",
    "refused",
    "connect_timeout",
    "smb_timeout",
    "closed",
  ] as const),
  ...(["not_smb", "smb1_only", "unresolved", "denied", "local_error"] as const),
];
const SEVERITIES = ["info", "warning", "error"] as const;

function reasonOf(word: string): ProbeReason {
  const found = REASONS.find((one) => one === word);
  assert.ok(found !== undefined, word);
  return found;
}

function wordsOf(line: string): Map<string, string> {
  const words = line.matchAll(/([\w:/]+)(?:=(?:"([^"]*)"|(\S+)))?/g);
  return new Map([...words].map(([, key = "", quoted, plain]) => [key, quoted ?? plain ?? ""]));
}

function conditionsOf(words: ReadonlyMap<string, string>): Omit<Condition, "since">[] {
  return [...words].flatMap(([key, title]) => {
    const [code = "", weight] = key.split("/");
    const severity = SEVERITIES.find((one) => one === weight);
    const share = code === "share_away" ? /share (\w+)/.exec(title)?.[1] : undefined;
    const found = { code, severity: severity ?? "info", title, hint: `remedy of ${code}` };
    return severity === undefined ? [] : [share === undefined ? found : { ...found, share }];
  });
}

function isOfShare<One extends { readonly code: string }>(
  one: One,
): one is One & { readonly code: ShareConditionName } {
  return (one.code.split(":")[0] ?? "") in SHARE_CONDITIONS;
}

function shareOf(name: string, words: ReadonlyMap<string, string>): ShareView {
  const route = (host: string, wanted: string | undefined) => {
    const [reason = "negotiated", blocked] = (wanted ?? "negotiated").split("!");
    const isUp = reason === "negotiated";
    const verdict = isUp ? "answers" : GONE.includes(reason) ? "gone" : "silent";
    const text = isUp ? `${host} answered` : `${host}: ${reason}`;
    return {
      atMs: 1000,
      probe: {
        ...probe(verdict, text),
        reason: reasonOf(reason),
        ...(blocked === undefined ? {} : { blocked: true as const }),
      },
    };
  };
  const routes = {
    tb: route("10.0.0.2", words.get("tb")),
    fallback: route("nas", words.get("fallback")?.replace("-", "negotiated")),
  };
  const check = answered(words.has("dead") ? "ENOTCONN" : null);
  const isMounted = words.has("mounted") || words.has("dead");
  const spec = specOf();
  const fallback =
    words.get("fallback") === "-" ? { ...spec.routes.fallback, host: null } : spec.routes.fallback;
  return viewOf(
    {
      memory: {
        ...EMPTY_SHARE_MEMORY,
        override: words.has("held") ? "unmounted" : null,
        lastError: words.get("error") ?? null,
      },
      observed: seenOf({
        offNetwork: words.get("away") ?? null,
        routes,
        mount: isMounted ? { found: foundMount(), check } : null,
      }),
      conditions: conditionsOf(words)
        .filter(isOfShare)
        .map((one) => ({ ...one, since: isoTime(WALL_MS), holders: [] })),
    },
    { ...spec, name, mountPath: `/v/${name}`, routes: { ...spec.routes, fallback } },
  );
}

goldenTests(new URL("verify.golden", import.meta.url), (input) => {
  const lines = input.trimEnd().split("\n");
  const shares = lines.flatMap((line) => {
    const [name = "", ...rest] = line.split(" ");
    return name === "server" ? [] : [shareOf(name, wordsOf(rest.join(" ")))];
  });
  const servers = lines.flatMap((line) => {
    const [kind, name = "", ...rest] = line.split(" ");
    return kind === "server" ? [{ name, words: wordsOf(rest.join(" ")) }] : [];
  });
  const alone = {
    ok: true,
    findings: shares.flatMap(verifyShare),
    checked: { shares: shares.length, backends: 0 },
  };
  const { findings } = verifyReport(alone, {
    conditions: [],
    status: {
      backends: servers.map(({ name, words }) =>
        sampleBackend({
          name,
          phase: words.has("failed") ? "Failed" : "Ready",
          reason: words.get("failed") ?? null,
          conditions: conditionsOf(words).map((one) => ({ ...one, since: "2026-01-01T00:00:00.000Z" })),
        }),
      ),
    },
    backends: servers.map(({ name, words }) => ({
      name,
      requires: ["need", "need2"].flatMap((key) => {
        const share = words.get(key);
        return share === undefined ? [] : [{ share, folder: null }];
      }),
    })),
  });
  const told = findings.map(({ share, ...finding }) => ({
    ...finding,
    area: "shares" as const,
    subject: share,
    text: share === null ? finding.text : `${share}: ${finding.text}`,
  }));
  return renderDoctor({ findings: told }, {
    isTerminal: false,
    colours: false,
    unicode: true,
    width: 200,
  } as never).trimEnd();
});
