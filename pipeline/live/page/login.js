// Sends the token in a header, never in a URL; the server answers with a cookie that scripts cannot read.

const form = document.getElementById("login");
const token = document.getElementById("token");
const wrong = document.getElementById("wrong");

form.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  wrong.textContent = "";
  try {
    const headers = { authorization: `Bearer ${token.value}` };
    const answer = await fetch("/login", { method: "POST", headers });
    if (answer.ok) {
      location.replace("/");
      return;
    }
    wrong.textContent = "This is not the token of this run.";
    token.select();
  } catch {
    wrong.textContent = "The tracker does not answer.";
  }
});
