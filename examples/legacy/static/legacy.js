// The fragment never reaches a server: whether it outlived the sign-in can be seen here only.
const showFragment = () => {
  document.querySelector('#fragment').textContent = location.hash;
  document.querySelector('#fragment-line').hidden = location.hash === '';
};
showFragment();
addEventListener('hashchange', showFragment);

document.querySelector('#ask-time').addEventListener('click', async () => {
  const output = document.querySelector('#time');
  const response = await fetch('/api/time', { headers: { Accept: 'application/json' } });
  const answer = await response.json();
  output.dataset.status = response.status;
  output.textContent = response.ok ? answer.time : `${response.status}: ${answer.error}`;
});
