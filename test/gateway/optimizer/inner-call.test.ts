import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { ANONYMOUS } from "../../../src/gateway/client-port.ts";
import { checkModern, checkParamHeaders } from "../../../src/gateway/front/modern/request.ts";
import { createOwnTools } from "../../../src/gateway/optimizer/own-tools.ts";
import { ToolIndex } from "../../../src/gateway/optimizer/tool-index.ts";
import { META, MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { recordingServices, servingSet } from "../middleware/requests.ts";

const TOOL = {
  name: "query",
  inputSchema: {
    type: "object",
    properties: { region: { type: "string", "x-mcp-header": "Region" } },
  },
};
const SOURCE = {
  ...source("db", {}),
  listings: { tools: [TOOL], resources: [], resourceTemplates: [], prompts: [] },
};

describe("D4 arguments in headers of tools that are not listed", () => {
  const index = new ToolIndex();
  index.follow(buildCatalog([SOURCE], FIRST_WINS).tools);
  const ownTools = createOwnTools({ index, clock: createManualClock(), logger: silentLogger });
  const optimizer = { enabled: true, keepTools: [] };
  const selections = createSelections({ optimizer, groups: [], profiles: [] });
  const served = servingSet([SOURCE], recordingServices(), { selections, ownTools });

  const faultOf = (params: object, region?: string): string | null => {
    const name = "name" in params ? String(params.name) : "";
    const headers = {
      "mcp-protocol-version": MODERN_VERSION,
      "mcp-method": "tools/call",
      "mcp-name": name,
      ...(region === undefined ? {} : { "mcp-param-region": region }),
    };
    const _meta = { [META.protocolVersion]: MODERN_VERSION, [META.clientCapabilities]: {} };
    const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { ...params, _meta } } as const;
    const checked = checkModern(message, ANONYMOUS, headers, { trace: null, group: null });
    if (!checked.ok) return checked.reply.error.message;
    return (
      checkParamHeaders(checked.request, headers, () => served.forClient(checked.request))?.error.message ??
      null
    );
  };
  const within = (region: string) => ({
    name: "call_tool",
    arguments: { name: "query", arguments: { region } },
  });

  test("a direct call repeats them as if the tool were listed", () => {
    assert.equal(faultOf({ name: "query", arguments: { region: "eu" } }, "eu"), null);
    assert.match(
      String(faultOf({ name: "query", arguments: { region: "eu" } })),
      /Mcp-Param-Region.*is missing/,
    );
  });

  test("a call through call_tool need not repeat them, and may not say something else", () => {
    assert.equal(faultOf(within("eu")), null);
    assert.equal(faultOf(within("eu"), "eu"), null);
    assert.match(
      String(faultOf(within("eu"), "us")),
      /Mcp-Param-Region.*is another than the argument region/,
    );
  });
});
