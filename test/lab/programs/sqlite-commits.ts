// Commits one row after another to an SQLite database that is there, and now and then counts them all.
// Arguments: LOG FILE wal|delete
import { DatabaseSync } from "node:sqlite";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_COMMITS_MS = 40;
const COMMITS_BETWEEN_COUNTS = 20;

const work = startWork(argument(0));
const mode = argument(2) === "wal" ? "wal" : "delete";
const database = new DatabaseSync(argument(1));
const said = database.prepare(`PRAGMA journal_mode = ${mode}`).get();
if (said?.["journal_mode"] !== mode) throw new Error(`the journal's mode is ${JSON.stringify(said)}`);
database.exec("PRAGMA synchronous = FULL");
const first = Number(database.prepare("SELECT max(id) AS id FROM rows").get()?.["id"]);
// An error may come although the row is in: its repetition is no second row.
const insert = database.prepare("INSERT OR REPLACE INTO rows (id, text) VALUES (?, ?)");
const count = database.prepare("SELECT count(*) AS rows FROM rows");
let id = first;
let uncertain = 0;
while (!work.ending) {
  id++;
  const isIn = await work.twice("commit", id, () => void insert.run(id, `row ${id}`));
  if (!isIn) uncertain++;
  if (id % COMMITS_BETWEEN_COUNTS === 0) {
    await work.twice("count", id, () => {
      const rows = Number(count.get()?.["rows"]);
      if (rows > id || rows < id - uncertain) throw new Error(`${rows} rows are there of ${id}`);
    });
  }
  await work.rest(BETWEEN_COMMITS_MS);
}
await work.once("close", id, () => database.close());
