export default (data) => data
