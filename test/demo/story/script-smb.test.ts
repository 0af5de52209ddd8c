// The story on real SMB, where the machine supports it.
import { missingForSmb } from "../../../src/demo/stage/smb-available.ts";
import { testStory } from "../story-contract.ts";

testStory("smb", (await missingForSmb("/nowhere")) ?? false);
