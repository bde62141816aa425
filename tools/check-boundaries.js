// Who may import what (the layout's rules), checked over the text of every import.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./gate.js";

const rules = [
  { in: /^hub\//, never: /^#(agent|cli|test)\//, because: "the hub knows neither the agent nor its users' tools" },
  { in: /^agent\//, never: /^#(hub|cli|test)\//, because: "the agent must run with the hub's code absent" },
  { in: /^proto\//, never: /^#(hub|agent|cli|test|lib)\//, because: "the contract depends on nobody" },
  { in: /^lib\//, never: /^#(hub|agent|cli|test|proto)\//, because: "lib holds no product word" },
  {
    in: /^(?!hub\/publish\/|agent\/pull\/|test\/).*/,
    never: /^@nats-io\/transport/,
    because: "only hub/publish and agent/pull speak NATS",
  },
  {
    in: /^(?!agent\/cluster\/|hub\/(?:charts|git)\/|test\/).*/,
    never: /^undici$/,
    because: "only agent/cluster, hub/git and hub/charts hold connections of their own",
  },
  {
    in: /^(?!agent\/cluster\/|test\/).*/,
    never: /^@kubernetes\/client-node$/,
    because: "only agent/cluster talks to Kubernetes",
  },
  {
    in: /^agent\//,
    never: /^(zod|hono|@peculiar\/x509)/,
    because: "it costs the agent memory it promises not to use",
    except: /^agent\/enrol\/|\.test\.ts$/,
  },
];

const imports = /(?:from|import)\s*\(?\s*["']([^"']+)["']/g;
const problems = [];
for (const file of sources(root)) {
  const text = readFileSync(join(root, file), "utf8");
  for (const [, imported] of text.matchAll(imports))
    for (const rule of rules)
      if (rule.in.test(file) && rule.never.test(imported) && !rule.except?.test(file) && !isTest(file))
        problems.push(`${file} imports ${imported}: ${rule.because}`);
}
if (problems.length > 0) {
  process.stderr.write(`${problems.join("\n")}\n`);
  process.exitCode = 1;
}

// A test may stand one real part against another.
function isTest(file) {
  return file.endsWith(".test.ts");
}

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (/^(node_modules|dist|gen|corpus|\..*)$/.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith(".ts")) yield relative(root, path);
  }
}
