// Lists what /openapi.json describes.

import { byId, element } from "./text.js";

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") return `${typeOf(schema.items)}[]`;
  if (schema.type === "object" && schema.additionalProperties) {
    return `{name: ${typeOf(schema.additionalProperties)}}`;
  }
  return schema.type || "any";
}

function answerOf(code, answer) {
  const types = Object.entries(answer.content || {}).map(([mediaType, content]) => {
    const type = typeOf(content.schema);
    return mediaType === "application/json" ? type : mediaType;
  });
  return element("li", "", `${code}: ${types.join(", ") || answer.description}`);
}

function operation(method, path, described) {
  const section = element("section", "operation");
  const title = element("h3");
  title.append(element("span", "method", method.toUpperCase()), element("code", "", path));
  section.append(title, element("p", "", described.description || described.summary));
  const list = element("ul");
  for (const parameter of described.parameters || []) {
    const needed = parameter.required ? "" : ", optional";
    const where = `${parameter.name} (${parameter.in}): ${typeOf(parameter.schema)}${needed}`;
    list.append(element("li", "", where));
  }
  for (const [code, answer] of Object.entries(described.responses)) {
    if (code !== "422") list.append(answerOf(code, answer)); // of parameters that are no numbers
  }
  section.append(list);
  return section;
}

function object(name, schema) {
  const section = element("section", "operation");
  section.append(element("h3", "", name), element("p", "", schema.description || ""));
  const list = element("ul");
  for (const [field, described] of Object.entries(schema.properties || {})) {
    list.append(element("li", "", `${field}: ${typeOf(described)}`));
  }
  section.append(list);
  return section;
}

const api = await (await fetch("/openapi.json")).json();
byId("about").textContent = api.info.summary;
const operations = byId("operations");
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, described] of Object.entries(methods)) {
    operations.append(operation(method, path, described));
  }
}
const objects = byId("objects");
for (const [name, schema] of Object.entries(api.components.schemas)) {
  if (!name.endsWith("ValidationError")) objects.append(object(name, schema));
}
