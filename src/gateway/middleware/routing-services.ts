// Owns what routing needs of the rest of the gateway.
import type { BackendPool } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ClientPort } from "../client-port.ts";
import type { McpLogLevel } from "../protocol.ts";
import type { TaskMemory } from "./task-memory.ts";

export interface RoutingServices {
  readonly pool: Pick<BackendPool, "call" | "subscribe" | "unsubscribe">;
  /** What is published now, whatever a request began with. */
  catalog(): Catalog;
  setLogLevel(client: ClientPort, level: McpLogLevel): void;
  readonly tasks: TaskMemory;
  /** Backends whose servers declare `tasks.list`, in order. */
  taskBackends(): readonly string[];
}
