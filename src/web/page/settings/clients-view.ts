// The clients that are connected, asked for while the view is open and seen.
import { type ComponentChild, h } from "preact";
import { CLIENT_TITLES, clientWords } from "../../../api/words/client-words.ts";
import { useNow } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { code, nothing, table } from "../parts/elements.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const AGAIN_MS = 5_000;

export function ClientsView({ app }: ViewProps): ComponentChild {
  // The bar says when nobody answers; what was known stays.
  const { report } = useLoaded((signal) => app.requests.ask("clients", null, { signal }), "", AGAIN_MS);
  const now = useNow();
  if (report === null) return nothing("Asking the daemon …");
  const { clients } = report;
  if (clients.length === 0)
    return nothing(
      "No client is connected.",
      h("p", {}, "Connect one with ", code("mountaineer connect"), "."),
    );
  const rows = clients.map((client) => clientWords(client, now));
  return table("Clients that are connected", CLIENT_TITLES, rows);
}
